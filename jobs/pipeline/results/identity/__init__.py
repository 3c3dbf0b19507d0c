"""Whether a score tells a subject from others: from rows to AUC and retrieval."""
