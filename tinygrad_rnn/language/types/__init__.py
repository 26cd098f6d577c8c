"""What each name is, and how many rows and columns everything has, before any value exists."""
