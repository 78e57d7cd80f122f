"""The command line: thin commands over `tiffin.FeatureStore`."""
