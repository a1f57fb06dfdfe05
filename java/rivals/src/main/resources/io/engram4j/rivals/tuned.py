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
    streams = torch.square(torch.norm(stream, 2, [-1]))
    sizes = torch.square(torch.norm(keys, 2, [-1]))
    dots = torch.sum(torch.mul_(torch.mul(stream, product), keys), [-1])
    norms = torch.mul(torch.sqrt(torch.add(torch.div(streams, 5120.), 9.9999999999999995e-21)), torch.sqrt(torch.add(torch.div(sizes, 5120.), 9.9999999999999995e-21)))
    normed = torch.div(torch.div(dots, norms), 71.554175279993274)
    roots = torch.copysign(torch.sqrt(torch.clamp(torch.abs(normed), 9.9999999999999995e-07)), normed)
    gates = torch.unsqueeze(torch.sigmoid(roots), 2)
    updated = torch.addcmul_(stream, gates, value)
    return updated
