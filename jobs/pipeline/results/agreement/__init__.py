"""A metric against what people say: from ratings and scores to agreement, with its uncertainty."""
