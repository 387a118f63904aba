{{/* Fixed names: the operator's Lease, Secret and Service are looked for under them, and there is one operator a namespace. */}}
{{- define "backfill-operator.name" -}}backfill-operator{{- end -}}
{{- define "backfill-operator.service" -}}backfill-coordinator{{- end -}}
{{- define "backfill-operator.lease" -}}backfill-operator{{- end -}}

{{/* What is the cluster's carries the namespace, so that two operators do not share it. */}}
{{- define "backfill-operator.clusterName" -}}backfill-operator:{{ .Release.Namespace }}{{- end -}}

{{- define "backfill-operator.selector" -}}
app.kubernetes.io/name: backfill-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "backfill-operator.labels" -}}
{{ include "backfill-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: backfill
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* (dict "image" .Values.image "root" .) */}}
{{- define "backfill-operator.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "backfill-operator.tlsSecret" -}}
{{- if eq .Values.grpc.tls.mode "Secret" -}}
{{ required "grpc.tls.mode is Secret, so grpc.tls.secret must name one with tls.crt, tls.key and ca.crt" .Values.grpc.tls.secret }}
{{- else -}}
backfill-operator-tls
{{- end -}}
{{- end -}}

{{/* The security of a container that is ours: what the restricted standard asks for. */}}
{{- define "backfill-operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "backfill-operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}
