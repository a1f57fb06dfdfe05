class Forward(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Forward,
    key: Tensor,
    value: Tensor,
    stream: Tensor,
    keyNorm: Tensor,
    queryNorm: Tensor,
    convNorm: Tensor,
    taps: Tensor,
    state: Tensor) -> Tensor:
    keys = torch.mul(torch.mul(key, torch.rsqrt(torch.add(torch.mean(torch.mul(key, key), [-1], True), 9.9999999999999995e-07))), keyNorm)
    queries = torch.mul(torch.mul(stream, torch.rsqrt(torch.add(torch.mean(torch.mul(stream, stream), [-1], True), 9.9999999999999995e-07))), queryNorm)
    scores = torch.div(torch.sum(torch.mul(keys, queries), [-1]), 50.596442562694074)
    roots = torch.mul(torch.sign(scores), torch.sqrt(torch.clamp(torch.abs(scores), 9.9999999999999995e-07)))
    gated = torch.mul(torch.unsqueeze(torch.sigmoid(roots), 1), value)
    normed = torch.mul(torch.mul(gated, torch.rsqrt(torch.add(torch.mean(torch.mul(gated, gated), [-1], True), 9.9999999999999995e-07))), convNorm)
    kept = torch.copy_(torch.select(state, 0, 9), normed)
    sum0 = torch.mul(torch.select(state, 0, 0), torch.select(taps, 2, 0))
    sum1 = torch.add(sum0, torch.mul(torch.select(state, 0, 3), torch.select(taps, 2, 1)))
    sum2 = torch.add(sum1, torch.mul(torch.select(state, 0, 6), torch.select(taps, 2, 2)))
    convolved = torch.add(sum2, torch.mul(kept, torch.select(taps, 2, 3)))
    delta = torch.add(gated, torch.silu(convolved))
    updated = torch.add_(stream, delta)
    return updated
