"""What is wrong in an equation: its terms matched with the right ones, and the smallest change that mends it."""
