"""A package, so that one fixture serves its modules and ends with them."""
