"""Addresses of the example."""

from django.urls import path
from shop import views

urlpatterns = [
    path("orders", views.place_order),
    path("runs/<str:id>", views.show_run),
]
