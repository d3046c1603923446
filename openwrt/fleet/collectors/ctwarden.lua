-- ctwarden's metrics for prometheus-node-exporter-lua: goes into /usr/lib/lua/prometheus-collectors/.
-- Names, types and labels come from the daemon, by ubus; nothing is said of them here.
local ubus = require "ubus"

-- What the textfile collector tells already (option textfile) is not told twice.
local TEXTFILE = "/var/prometheus/ctwarden.prom"

local function scrape()
  local file = io.open(TEXTFILE)
  if file then
    file:close()
    return
  end

  local bus = ubus.connect()
  if not bus then
    error("ctwarden: ubus does not answer")
  end
  local reply = bus:call("ctwarden", "metrics", {})
  bus:close()
  if not reply then
    -- The exporter makes node_scrape_collector_success{collector="ctwarden"} 0 of it.
    error("ctwarden: the daemon does not answer")
  end

  -- Rows of one name stand together, and its type may be told once only.
  local name, tell
  for _, row in ipairs(reply.metrics) do
    if row.name ~= name then
      name = row.name
      tell = metric(name, row.type)
    end
    tell(row.labels, row.value)
  end
end

return { scrape = scrape }
