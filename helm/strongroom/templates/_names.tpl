{{- define "strongroom.selector" -}}
app.kubernetes.io/name: strongroom
app.kubernetes.io/instance: {{ .Values.name }}
{{- end }}

{{- define "strongroom.labels" -}}
{{ include "strongroom.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "strongroom.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "strongroom.restNames" -}}
{{- $service := printf "%s.%s" .Values.name .Release.Namespace -}}
{{- concat (list .Values.name $service (printf "%s.svc" $service) (printf "%s.svc.cluster.local" $service) "localhost" "127.0.0.1") .Values.rest.tlsNames | join "," -}}
{{- end }}

{{/* What the process is told, in every pod and in the test pod alike. */}}
{{- define "strongroom.environment" -}}
- {name: STRONGROOM_DATA_DIR, value: /var/lib/strongroom}
- {name: STRONGROOM_LISTEN, value: "0.0.0.0:8443"}
- {name: STRONGROOM_WEBHOOK_LISTEN, value: "0.0.0.0:9443"}
- {name: STRONGROOM_ADMIN_LISTEN, value: "0.0.0.0:8081"}
- {name: STRONGROOM_WEBHOOK_CONFIG, value: {{ .Values.webhook.configName | quote }}}
- {name: STRONGROOM_WEBHOOK_NAME, value: {{ printf "%s-webhook.%s.svc" .Values.name .Release.Namespace | quote }}}
{{- if .Values.rest.tlsSecretName }}
- {name: STRONGROOM_TLS_CERT, value: /etc/strongroom/tls/tls.crt}
- {name: STRONGROOM_TLS_KEY, value: /etc/strongroom/tls/tls.key}
{{- else }}
- {name: STRONGROOM_TLS_NAME, value: {{ include "strongroom.restNames" . | quote }}}
{{- end }}
{{- with .Values.database.secretName }}
- name: STRONGROOM_DATABASE
  valueFrom: {secretKeyRef: {name: {{ . | quote }}, key: {{ $.Values.database.key | quote }}}}
{{- end }}
{{- range $setting, $value := .Values.settings }}
- {name: STRONGROOM_{{ snakecase $setting | upper }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "strongroom.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
# Not on every mount: a walk over the volume would make the key file readable to the group, and Strongroom would refuse it.
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "strongroom.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* SQLite sorts beyond its cache in /tmp. */}}
{{- define "strongroom.mounts" -}}
- {name: data, mountPath: /var/lib/strongroom}
- {name: tmp, mountPath: /tmp}
{{- if .Values.rest.tlsSecretName }}
- {name: tls, mountPath: /etc/strongroom/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "strongroom.volumes" -}}
- {name: tmp, emptyDir: {sizeLimit: 64Mi}}
{{- if .Values.database.secretName }}
- {name: data, emptyDir: {sizeLimit: 64Mi}}
{{- end }}
{{- if .Values.rest.tlsSecretName }}
- {name: tls, secret: {secretName: {{ .Values.rest.tlsSecretName | quote }}}}
{{- end }}
{{- end }}
