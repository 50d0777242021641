"""Graph neural networks as neighborhood aggregation, over fused sparse kernels."""
