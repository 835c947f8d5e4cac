"""What takes a package of somebody else, and is for those who have it."""
