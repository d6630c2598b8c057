"""The app: base, fine-tuned and grown model side by side, and training."""
