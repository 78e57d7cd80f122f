"""On-demand features: loading their functions, running them over columns, giving them out."""
