#!lua name=tallystick
-- Points in Redis. A member is one hash under its 16-byte id: field `b` is the balance, and each transaction is a field,
-- named by its 16-byte id, of 16 bytes: what it moved and when it occurred, both little-endian. So a transaction's entry
-- is its history and its mark against repetition at once, an operation is one read and one write of one key, and the
-- append-only file has one command for it.

local kOperationBytes = 48  -- member, transaction, movement, instant

-- All operations of one argument, in order; returns a character for each: see PeerOutcome in peer.h.
local function apply(_, args)
  local operations = args[1]
  local outcomes = {}
  local count = 0
  for at = 1, #operations, kOperationBytes do
    local member = string.sub(operations, at, at + 15)
    local transaction = string.sub(operations, at + 16, at + 31)
    local entry = string.sub(operations, at + 32, at + 47)
    local known = redis.call('HMGET', member, 'b', transaction)
    local balance = (known[1] or 0) + struct.unpack('<i8', entry)
    local outcome = '0'
    if known[2] then
      outcome = known[2] == entry and '2' or '3'
    elseif balance < 0 then
      outcome = '1'
    else
      redis.call('HSET', member, 'b', balance, transaction, entry)
    end
    count = count + 1
    outcomes[count] = outcome
  end
  return table.concat(outcomes)
end

-- Of the members of one argument, 16 bytes each: how many there are, their transactions and points.
local function totals(_, args)
  local members, transactions, points = 0, 0, 0
  for at = 1, #args[1], 16 do
    local member = string.sub(args[1], at, at + 15)
    local balance = redis.call('HGET', member, 'b')
    if balance then
      members = members + 1
      transactions = transactions + redis.call('HLEN', member) - 1
      points = points + balance
    end
  end
  return {members, transactions, points}
end

redis.register_function('apply', apply)
redis.register_function{function_name = 'totals', callback = totals, flags = {'no-writes'}}
