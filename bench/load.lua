-- wrk's script: a tenant at random for each request.
-- Arguments: folder of the inputs (body, headers, credentials, cursors), number of tenants, query, form of ids, seed; and the
-- tenant after which to begin, where they are to come one after the other.
local tenants, query, typeids, body, headers, credentials, cursors, turn, in_turn
local random, format, floor = math.random, string.format, math.floor

local function lines(path)
  local found = {}
  local file = io.open(path)
  if file then
    for line in file:lines() do found[#found + 1] = line end
    file:close()
  end
  return found
end

function init(args)
  local folder = args[1]
  tenants, query, typeids, turn = tonumber(args[2]), args[3], args[4] == "typeid", 0
  math.randomseed(tonumber(args[5]))
  in_turn, turn = query == "q6" or args[6] ~= nil, tonumber(args[6] or 0)
  local file = assert(io.open(folder .. "/body"))
  body = file:read("*a")
  file:close()
  headers = lines(folder .. "/headers")
  credentials = lines(folder .. "/credentials")
  cursors = lines(folder .. "/cursors")
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Accept"] = "application/json"
end

-- The 26 characters of a TypeID: 128 bits behind two zeros, five at a time.
local alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
local function base32(hex)
  local text, held, bits = {}, 0, 2
  for at = 1, 32, 2 do
    held, bits = held * 256 + tonumber(hex:sub(at, at + 1), 16), bits + 8
    while bits >= 5 do
      bits = bits - 5
      local index = floor(held / 2 ^ bits)
      held = held % 2 ^ bits
      text[#text + 1] = alphabet:sub(index + 1, index + 1)
    end
  end
  return table.concat(text)
end

-- As `uuid` in data.py makes it.
local function id(tenant, kind, number, prefix)
  if typeids then return prefix .. "_" .. base32(format("%08x%04x70008000%012x", tenant, kind, number)) end
  return format("%08x-%04x-7000-8000-%012x", tenant, kind, number)
end

function request()
  local tenant, cursor, workspace
  if query == "q5" then
    tenant, cursor = cursors[random(#cursors)]:match("^(%d+) (.*)$")
    tenant = tonumber(tenant)
  elseif in_turn then
    turn = turn % tenants + 1
    tenant = turn
  else
    tenant = random(tenants)
  end
  workspace = query == "q1" and random(5) or query == "q4" and random(2, 5) or 1
  local values = {
    tenant = function() return id(tenant, 1, 0, "tnt") end,
    workspace = function() return id(tenant, 3, workspace, "wsp") end,
    member = function() return id(tenant, 4, random(20), "mbr") end,
    project = function() return id(tenant, 5, workspace, "prj") end,
    cursor = function() return cursor end,
    slug = function() return "tenant-" .. tenant end,
    credential = function() return credentials[tenant % #credentials + 1] end,
  }
  local function fill(text) return (text:gsub("{(%l+)}", function(name) return values[name] and values[name]() end)) end
  for _, line in ipairs(headers) do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = fill(value)
  end
  return wrk.format(nil, nil, nil, fill(body))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(format('\nRESULT {"requests":%d,"us":%d,"bytes":%d,"errors":%d,"p50":%d,"p99":%d}\n', summary.requests, summary.duration,
    summary.bytes, errors.status + errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50),
    latency:percentile(99)))
end
