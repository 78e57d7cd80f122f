"""Training sets: frames on their way in, results on their way out."""
