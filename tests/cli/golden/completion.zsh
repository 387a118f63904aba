#compdef backfill
# zsh completion for backfill: put it as _backfill into a folder of $fpath
_backfill_rules() {  # COMMAND PREVIOUS -> proposed, files, stored
  proposed= files= stored=
  case $1:$2 in
    lint:-f|lint:--file) files=1; return ;;
    lint:-n|lint:--namespace) :; return ;;
    plan:-f|plan:--file) files=1; return ;;
    plan:-o|plan:--output) proposed='text json yaml markdown'; return ;;
    plan:--against) files=1; return ;;
    plan:-n|plan:--namespace) :; return ;;
    plan:--context) :; return ;;
    plan:--kubeconfig) files=1; return ;;
    plan:--state-dir) files=1; return ;;
    run:-f|run:--file) files=1; return ;;
    run:--workers) :; return ;;
    run:-o|run:--output) proposed='text json'; return ;;
    run:--state-dir) files=1; return ;;
    run:-n|run:--namespace) :; return ;;
    status:-o|status:--output) proposed='text wide json yaml'; return ;;
    status:--timeout) :; return ;;
    status:-n|status:--namespace) :; return ;;
    status:--context) :; return ;;
    status:--kubeconfig) files=1; return ;;
    status:--state-dir) files=1; return ;;
    watch:-n|watch:--namespace) :; return ;;
    watch:--context) :; return ;;
    watch:--kubeconfig) files=1; return ;;
    watch:--state-dir) files=1; return ;;
    failures:-o|failures:--output) proposed='text json'; return ;;
    failures:-n|failures:--namespace) :; return ;;
    failures:--context) :; return ;;
    failures:--kubeconfig) files=1; return ;;
    failures:--state-dir) files=1; return ;;
    shards:-o|shards:--output) proposed='text json'; return ;;
    shards:-n|shards:--namespace) :; return ;;
    shards:--context) :; return ;;
    shards:--kubeconfig) files=1; return ;;
    shards:--state-dir) files=1; return ;;
    report:-o|report:--output) proposed='text json markdown'; return ;;
    report:-n|report:--namespace) :; return ;;
    report:--context) :; return ;;
    report:--kubeconfig) files=1; return ;;
    report:--state-dir) files=1; return ;;
    retry:-f|retry:--file) files=1; return ;;
    retry:--name) :; return ;;
    retry:--class) proposed='transient timeout permanent conflict'; return ;;
    retry:-n|retry:--namespace) :; return ;;
    retry:--context) :; return ;;
    retry:--kubeconfig) files=1; return ;;
    retry:--state-dir) files=1; return ;;
    pause:--reason) :; return ;;
    pause:-n|pause:--namespace) :; return ;;
    pause:--context) :; return ;;
    pause:--kubeconfig) files=1; return ;;
    pause:--state-dir) files=1; return ;;
    resume:-n|resume:--namespace) :; return ;;
    resume:--context) :; return ;;
    resume:--kubeconfig) files=1; return ;;
    resume:--state-dir) files=1; return ;;
    apply:-f|apply:--file) files=1; return ;;
    apply:--state-dir) files=1; return ;;
    apply:-n|apply:--namespace) :; return ;;
    completion:-n|completion:--namespace) :; return ;;
    completion:--context) :; return ;;
    completion:--kubeconfig) files=1; return ;;
    completion:--state-dir) files=1; return ;;
  esac
  case $1 in
    '') proposed='lint plan run status watch failures shards report replay-throttle retry pause resume apply completion help version --help' ;;
    lint) proposed='-h --help -f --file -n --namespace' ;;
    plan) proposed='-h --help -f --file -o --output --against -n --namespace --cluster --context --kubeconfig --state-dir' ;;
    run) proposed='-h --help -f --file --workers -o --output --no-progress --state-dir -n --namespace' ;;
    status) proposed='-h --help -o --output --wait --timeout -A --all-namespaces -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    watch) proposed='-h --help -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    failures) proposed='-h --help -o --output -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    shards) proposed='-h --help -o --output -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    report) proposed='-h --help -o --output -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    replay-throttle) proposed='-h --help --decisions' ;;
    retry) proposed='-h --help -f --file --name --class -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    pause) proposed='-h --help --reason --wait -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    resume) proposed='-h --help --wait -n --namespace --cluster --context --kubeconfig --state-dir'; stored=1 ;;
    apply) proposed='-h --help -f --file --state-dir -n --namespace' ;;
    completion) proposed='bash zsh fish -h --help -n --namespace --cluster --context --kubeconfig --state-dir' ;;
    help) proposed='concepts spec exit-codes throttling idempotency files tls lint plan run status watch failures shards report replay-throttle retry pause resume apply completion help version -h --help' ;;
    version) proposed='-h --help' ;;
  esac
}
_backfill() {
  local cur=${words[CURRENT]} prev=${words[CURRENT-1]} command= i
  local proposed files stored names
  local -a place
  ((CURRENT > 2)) && command=${words[2]}
  if [[ $cur == --*=* ]]; then
    prev=${cur%%=*}
    compset -P '*='
  fi
  _backfill_rules "$command" "$prev"
  if [[ -n $files ]]; then
    _files
    return
  fi
  if [[ -n $stored && $cur != -* ]]; then
    for ((i = 3; i < CURRENT; i++)); do
      case ${words[i]} in
        --state-dir|-n|--namespace|--context|--kubeconfig) place+=("${words[i]}" "${(Q)words[i+1]}") ;;
        --state-dir=*|--namespace=*|--context=*|--kubeconfig=*|--cluster) place+=("${(Q)words[i]}") ;;
      esac
    done
    names=$(backfill completion names "${place[@]}" 2>/dev/null)
    [[ -n $names ]] && proposed=$names
  fi
  compadd -- ${=proposed}
}
if [[ $funcstack[1] == _backfill ]]; then
  _backfill "$@"
else
  compdef _backfill backfill
fi
