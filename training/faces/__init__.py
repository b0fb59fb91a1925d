"""Pictures of faces for the shipped GAN."""
