"""How the tables came to be, by `python manage.py makemigrations`."""
