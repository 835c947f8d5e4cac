"""Gets orders to customers: reserves what they ordered, and waits for the parcel."""
