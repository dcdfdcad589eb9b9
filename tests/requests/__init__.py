"""What people and other services do with requests, from outside and by the facade."""
