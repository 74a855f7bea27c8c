"""Measurements that repeat: what is fast, by how much, and what distillation brings where."""
