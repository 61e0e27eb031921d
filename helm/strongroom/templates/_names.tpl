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

{{/* Values that do not go together are refused here, and not by a pod that does not start. */}}
{{- define "strongroom.requireRootKey" -}}
{{- if and .Values.kms.key .Values.rootKey.existingSecret -}}
{{- fail "kms.key and rootKey.existingSecret exclude each other: there is one root key" -}}
{{- end -}}
{{- if and .Values.database.secretName (not .Values.kms.key) (not .Values.rootKey.existingSecret) -}}
{{- fail "database.secretName needs a root key that all replicas share: set kms.key to a key in AWS KMS, or rootKey.existingSecret to a Secret with 32 random bytes" -}}
{{- end -}}
{{- if and .Values.database.secretName .Values.storage.anchor.size -}}
{{- fail "storage.anchor.size is for a store on a volume, and with database.secretName there is none" -}}
{{- end -}}
{{- range $value := list "region" "endpoint" "outageLimit" "environmentSecret" -}}
{{- if and (index $.Values.kms $value) (not $.Values.kms.key) -}}
{{- fail (printf "kms.%s needs kms.key beside it" $value) -}}
{{- end -}}
{{- end -}}
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
{{- if .Values.rootKey.existingSecret }}
- {name: STRONGROOM_KEY_FILE, value: /etc/strongroom/root/strongroom.key}
{{- end }}
{{- if include "strongroom.apis" . }}
- {name: STRONGROOM_CONFIG, value: /etc/strongroom/config/strongroom.yaml}
{{- end }}
{{- if .Values.storage.anchor.size }}
- {name: STRONGROOM_ANCHOR_FILE, value: /var/lib/strongroom-anchor/strongroom.anchor}
{{- end }}
{{- range $setting := list "key" "region" "endpoint" "outageLimit" }}
{{- with index $.Values.kms $setting }}
- {name: STRONGROOM_KMS_{{ snakecase $setting | upper }}, value: {{ . | quote }}}
{{- end }}
{{- end }}
{{- range $setting, $value := .Values.settings }}
- {name: STRONGROOM_{{ snakecase $setting | upper }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{/* Settings that are structured, and so stand in a file. */}}
{{- define "strongroom.apis" -}}
{{- range $api := list "confidant" "credhub" }}
{{- with index $.Values $api }}
{{ dict $api . | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{- define "strongroom.environmentFrom" -}}
{{- with .Values.kms.environmentSecret -}}
envFrom: [{secretRef: {name: {{ . | quote }}}}]
{{- end }}
{{- end }}

{{/* A Secret is mounted as root's, with mode 0440 and the group fsGroup, whatever defaultMode asks for: Strongroom takes
     the root key from such a mount, and only if that group is its own (runAsGroup). */}}
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
{{- if .Values.rootKey.existingSecret }}
- {name: root, mountPath: /etc/strongroom/root, readOnly: true}
{{- end }}
{{- if include "strongroom.apis" . }}
- {name: config, mountPath: /etc/strongroom/config, readOnly: true}
{{- end }}
{{- if .Values.storage.anchor.size }}
- {name: anchor, mountPath: /var/lib/strongroom-anchor}
{{- end }}
{{- range $name := .Values.secretFiles }}
- {name: {{ printf "secret-%s" $name | quote }}, mountPath: {{ printf "/etc/strongroom/secrets/%s" $name | quote }}, readOnly: true}
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
{{- if include "strongroom.apis" . }}
- {name: config, configMap: {name: {{ printf "%s-settings" .Values.name | quote }}}}
{{- end }}
{{- range $name := .Values.secretFiles }}
- {name: {{ printf "secret-%s" $name | quote }}, secret: {secretName: {{ $name | quote }}, defaultMode: 0400}}
{{- end }}
{{- with .Values.rootKey }}
{{- if .existingSecret }}
- {name: root, secret: {secretName: {{ .existingSecret | quote }}, defaultMode: 0400, items: [{key: {{ .key | quote }}, path: strongroom.key}]}}
{{- end }}
{{- end }}
{{- end }}
