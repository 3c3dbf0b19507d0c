"""The paper's claims in small, on concepts that the demo's encoder has never seen."""
