class Forward(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Forward,
    kv: Tensor,
    stream: Tensor,
    product: Tensor) -> Tensor:
    keys = torch.narrow(kv, 1, 0, 4)
    value = torch.narrow(kv, 1, 4, 1)
    queries = torch.mul(stream, torch.rsqrt(torch.add(torch.mean(torch.mul(stream, stream), [-1], True), 9.9999999999999995e-21)))
    normed = torch.mul(keys, torch.rsqrt(torch.add(torch.mean(torch.mul(keys, keys), [-1], True), 9.9999999999999995e-21)))
    dots = torch.div(torch.sum(torch.mul(torch.mul(queries, product), normed), [-1]), 71.554175279993274)
    roots = torch.copysign(torch.sqrt(torch.clamp(torch.abs(dots), 9.9999999999999995e-07)), dots)
    gates = torch.unsqueeze(torch.sigmoid(roots), 2)
    updated = torch.add_(stream, torch.mul(gates, value))
    return updated
