"""Charges cards over gRPC, and gives the money of cancelled orders back."""
