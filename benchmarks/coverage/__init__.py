"""Which of diffusers' pipelines run in stages exactly as whole: measured on miniatures made from configs."""
