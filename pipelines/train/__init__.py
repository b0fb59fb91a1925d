"""One trainer for every objective: GAN, VAE, diffusion, LoRA."""
