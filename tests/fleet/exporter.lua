-- What prometheus-node-exporter-lua offers its collectors, around one of them: exporter.lua COLLECTOR ROWS. ROWS is a Lua file;
-- `nobus` is a router whose ubus does not answer, `nobody` one without the daemon. Ends with 1 where the collector failed.
local collector, rows = arg[1], arg[2]
local open = 0

package.preload["ubus"] = function()
  return {
    connect = function()
      if rows == "nobus" then
        return nil
      end
      open = open + 1
      return {
        call = function(_, object, method, arguments)
          assert(object == "ctwarden" and method == "metrics" and type(arguments) == "table")
          return rows ~= "nobody" and dofile(rows) or nil
        end,
        close = function()
          open = open - 1
        end,
      }
    end,
  }
end

function metric(name, kind)
  io.write("# TYPE ", name, " ", kind, "\n")
  return function(labels, value)
    local words = {}
    for label, word in pairs(labels) do
      words[#words + 1] = label .. '="' .. word .. '"'
    end
    io.write(name, #words > 0 and "{" .. table.concat(words, ",") .. "}" or "", " ", value, "\n")
  end
end

-- A collector that fails is not to take the exporter's connections with it.
local done, fault = pcall(dofile(collector).scrape)
assert(open == 0, "a connection to ubus was left open")
if not done then
  io.stderr:write(fault, "\n")
  os.exit(1)
end
