"""The paper's tables, from its data sets to figures beside the published ones."""
