"""An application under one clock that jumps, and what may befall it."""
