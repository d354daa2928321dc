"""What every room may import; imports nothing of the other rooms."""
