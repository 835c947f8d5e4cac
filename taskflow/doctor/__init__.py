"""What will go wrong: what code, a broker and this machine say, compared by numbered rules."""
