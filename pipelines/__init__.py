"""Host-free engine: any diffusers pipeline as stages. Usable as a library without ComfyUI."""
