-- What Argo CD shows of a Backfill: resource.customizations.health.backfill.dev_Backfill in argocd-cm.
-- From conditions alone. Argo CD gives the object as `obj`.
local hs = {status = "Progressing", message = ""}

if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "it is being deleted"
  return hs
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "it has not been seen yet"
  return hs
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is(type, status)
  local condition = conditions[type]
  if condition == nil or condition.status ~= status then
    return false
  end
  hs.message = condition.reason or ""
  if condition.message ~= nil and condition.message ~= "" then
    hs.message = hs.message .. ": " .. condition.message
  end
  return true
end

if is("Stalled", "True") or is("Succeeded", "False") then
  hs.status = "Degraded"
elseif is("Succeeded", "True") then
  hs.status = "Healthy"
elseif is("Reconciling", "True") then
  hs.status = "Progressing"
elseif is("Paused", "True") or is("Approved", "False") then
  hs.status = "Suspended"
else
  local ready = conditions["Ready"]
  hs.message = ready ~= nil and ready.reason or ""
end
return hs
