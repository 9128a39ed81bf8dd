"""Where media lies: inputs, previews, results. Apps and workers reach it through signed URLs."""
