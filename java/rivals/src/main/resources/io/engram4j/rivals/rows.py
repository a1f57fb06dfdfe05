class Forward(Module):
  __parameters__ = []
  __buffers__ = []
  training : bool
  def forward(self: __torch__.Forward,
    windows: Tensor,
    multipliers: Tensor,
    primes: Tensor,
    offsets: Tensor,
    table: Tensor,
    codes: Tensor,
    scales: Tensor) -> Tensor:
    terms = torch.mul(windows, multipliers)
    two = torch.bitwise_xor(torch.select(terms, 1, 0), torch.select(terms, 1, 1))
    three = torch.bitwise_xor(two, torch.select(terms, 1, 2))
    four = torch.bitwise_xor(three, torch.select(terms, 1, 3))
    rolls = torch.unsqueeze(torch.stack([two, three, four], 1), 2)
    ids = torch.add(torch.remainder(rolls, primes), offsets)
    packed = torch.index_select(table, 0, torch.reshape(ids, [-1]))
    picked = torch.to(torch.reshape(torch.narrow(packed, 1, 0, 256), [-1]), 3)
    values = torch.reshape(torch.index_select(codes, 0, picked), [-1, 8, 32])
    blocks = torch.to(torch.reshape(torch.narrow(packed, 1, 256, 8), [-1]), 3)
    factors = torch.reshape(torch.index_select(scales, 0, blocks), [-1, 8, 1])
    rows = torch.reshape(torch.mul(values, factors), [-1, 6144])
    return rows
