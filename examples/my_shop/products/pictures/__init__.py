"""The sample products' pictures, drawn here: no photo is copied from anywhere."""
