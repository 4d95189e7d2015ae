"""The labs: a model, a picture and a timeline that the reader operates."""
