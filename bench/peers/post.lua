-- wrk: one POST for each id, as the other contestants send them. One thread, so each id comes once.
local id = -1
local padding = string.rep("x", 40)
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
function request()
  id = id + 1
  return wrk.format(nil, "/r/" .. id, nil, '{"id":' .. id .. ',"padding":"' .. padding .. '"}')
end
