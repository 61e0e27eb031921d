{{/* One process. With SQLite it is the only one, and its data is on a volume of its own. */}}
{{- define "strongroom.pod" -}}
{{- include "strongroom.requireRootKey" . -}}
metadata:
  labels:
    {{- include "strongroom.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or .Values.podAnnotations (include "strongroom.apis" .) }}
  annotations:
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with include "strongroom.apis" . }}
    # Settings are read at the start: others make another pod.
    strongroom.dev/settings: {{ . | sha256sum | trunc 16 | quote }}
    {{- end }}
  {{- end }}
spec:
  serviceAccountName: {{ .Values.name }}
  automountServiceAccountToken: true
  # A Service called strongroom would put STRONGROOM_PORT and the like into the environment: settings nobody knows.
  enableServiceLinks: false
  terminationGracePeriodSeconds: 30
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{- include "strongroom.podSecurity" . | nindent 4 }}
  containers:
    - name: strongroom
      image: {{ include "strongroom.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [run]
      env: {{- include "strongroom.environment" . | nindent 8 }}
      {{- with include "strongroom.environmentFrom" . }}
      {{- . | nindent 6 }}
      {{- end }}
      ports:
        - {name: rest, containerPort: 8443}
        - {name: webhook, containerPort: 9443}
        - {name: admin, containerPort: 8081}
      {{- if .Values.database.secretName }}
      # Until every node has heard that this one ends, callers are still sent here, and would find nobody.
      lifecycle: {preStop: {sleep: {seconds: 5}}}
      {{- end }}
      # A store that was left by a crash is recovered before the first answer: up to a minute for that.
      startupProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 1
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: admin}
        periodSeconds: 10
        timeoutSeconds: 3
      readinessProbe:
        httpGet: {path: /readyz, port: admin}
        periodSeconds: 5
        timeoutSeconds: 3
      resources: {{- toYaml .Values.resources | nindent 8 }}
      securityContext: {{- include "strongroom.containerSecurity" . | nindent 8 }}
      volumeMounts: {{- include "strongroom.mounts" . | nindent 8 }}
  volumes: {{- include "strongroom.volumes" . | nindent 4 }}
  {{- if .Values.database.secretName }}
  # On several nodes, where there are several.
  topologySpreadConstraints:
    - topologyKey: kubernetes.io/hostname
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "strongroom.selector" . | nindent 10 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
