"""The contracts between services, and the code generated from them."""
