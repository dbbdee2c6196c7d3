"""Training: pretraining stages, twin-teacher distillation, and the loop that drives them."""
