{{/* What the operator does where there are Backfills. No Secret, no exec, no logs, nothing deleted but its Jobs. */}}
{{- define "backfill-operator.watchedRules" -}}
- apiGroups: [backfill.dev]
  resources: [backfills]
  verbs: [get, list, watch, patch]        # patch: its finalizer
- apiGroups: [backfill.dev]
  resources: [backfills/status]
  verbs: [patch]
- apiGroups: [backfill.dev]
  resources: [backfills/finalizers]       # to own objects that block their owner's deletion
  verbs: [update]
- apiGroups: [backfill.dev]
  resources: [backfillledgers]
  verbs: [get, list, watch, create, update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [configmaps]                 # reports and the CA bundle, by their names: it can list none
  verbs: [get, create, update]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
