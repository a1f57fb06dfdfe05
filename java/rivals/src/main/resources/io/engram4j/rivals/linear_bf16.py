class Forward(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Forward,
    x: Tensor,
    weight: Tensor) -> Tensor:
    product = torch.linear(torch.to(x, 15), weight)
    return torch.to(product, 6)
