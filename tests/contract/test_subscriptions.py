"""Subscriptions that wait, end, or outlive what they point at; and those that call a URL."""

from taskflow.testing.contract.admin.subscriptions import *
