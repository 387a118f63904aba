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
    plan:--state-dir) files=1; return ;;
    plan:-n|plan:--namespace) :; return ;;
    run:-f|run:--file) files=1; return ;;
    run:--workers) :; return ;;
    run:-o|run:--output) proposed='text json'; return ;;
    run:--state-dir) files=1; return ;;
    run:-n|run:--namespace) :; return ;;
    status:-o|status:--output) proposed='text json'; return ;;
    status:--timeout) :; return ;;
    status:--state-dir) files=1; return ;;
    status:-n|status:--namespace) :; return ;;
    watch:--state-dir) files=1; return ;;
    watch:-n|watch:--namespace) :; return ;;
    failures:-o|failures:--output) proposed='text json'; return ;;
    failures:--state-dir) files=1; return ;;
    failures:-n|failures:--namespace) :; return ;;
    shards:-o|shards:--output) proposed='text json'; return ;;
    shards:--state-dir) files=1; return ;;
    shards:-n|shards:--namespace) :; return ;;
    report:-o|report:--output) proposed='text json markdown'; return ;;
    report:--state-dir) files=1; return ;;
    report:-n|report:--namespace) :; return ;;
    retry:-f|retry:--file) files=1; return ;;
    retry:--name) :; return ;;
    retry:--class) proposed='transient timeout permanent conflict'; return ;;
    retry:--state-dir) files=1; return ;;
    retry:-n|retry:--namespace) :; return ;;
    pause:--reason) :; return ;;
    pause:--state-dir) files=1; return ;;
    pause:-n|pause:--namespace) :; return ;;
    resume:--state-dir) files=1; return ;;
    resume:-n|resume:--namespace) :; return ;;
    apply:-f|apply:--file) files=1; return ;;
    apply:--state-dir) files=1; return ;;
    apply:-n|apply:--namespace) :; return ;;
    completion:--state-dir) files=1; return ;;
    completion:-n|completion:--namespace) :; return ;;
  esac
  case $1 in
    '') proposed='lint plan run status watch failures shards report retry pause resume apply completion help version --help' ;;
    lint) proposed='-h --help -f --file -n --namespace' ;;
    plan) proposed='-h --help -f --file -o --output --against --state-dir -n --namespace' ;;
    run) proposed='-h --help -f --file --workers -o --output --no-progress --state-dir -n --namespace' ;;
    status) proposed='-h --help -o --output --wait --timeout --state-dir -n --namespace'; stored=1 ;;
    watch) proposed='-h --help --state-dir -n --namespace'; stored=1 ;;
    failures) proposed='-h --help -o --output --state-dir -n --namespace'; stored=1 ;;
    shards) proposed='-h --help -o --output --state-dir -n --namespace'; stored=1 ;;
    report) proposed='-h --help -o --output --state-dir -n --namespace'; stored=1 ;;
    retry) proposed='-h --help -f --file --name --class --state-dir -n --namespace'; stored=1 ;;
    pause) proposed='-h --help --reason --wait --state-dir -n --namespace'; stored=1 ;;
    resume) proposed='-h --help --wait --state-dir -n --namespace'; stored=1 ;;
    apply) proposed='-h --help -f --file --state-dir -n --namespace' ;;
    completion) proposed='bash zsh fish -h --help --state-dir -n --namespace' ;;
    help) proposed='concepts spec exit-codes throttling idempotency files tls lint plan run status watch failures shards report retry pause resume apply completion help version -h --help' ;;
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
        --state-dir|-n|--namespace) place+=("${words[i]}" "${(Q)words[i+1]}") ;;
        --state-dir=*|--namespace=*) place+=("${(Q)words[i]}") ;;
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
