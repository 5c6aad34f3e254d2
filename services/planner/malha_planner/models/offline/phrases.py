"""The model's own sentences, in both languages; everything else it says is quoted."""

_PHRASES = {
    "source": ("According to {source}:", "Segundo {source}:"),
    "nearest": (
        "I found no direct answer; the nearest passage is in {source}:",
        "Não encontrei resposta direta; o trecho mais próximo está em {source}:",
    ),
    "section": ('{document}, section "{section}"', '{document}, seção "{section}"'),
    "tool": ("{tool} answers:", "{tool} responde:"),
    "unavailable": (
        "Not available, and missing from this answer: {names}.",
        "Indisponível, e por isso ausente desta resposta: {names}.",
    ),
    "failed": ("{tool} could not be used: {why}", "Não foi possível usar {tool}: {why}"),
    "total": (
        "{quantity}, {label}: {expression} = {result}.",
        "{quantity}, {label}: {expression} = {result}.",
    ),
    "nothing": (
        "I found nothing in the documents that answers this: {question}",
        "Não encontrei nos documentos nada que responda a isto: {question}",
    ),
    "cannot": (
        "I cannot answer this: none of the tools I may use fits it.",
        "Não consigo responder a isto: nenhuma das ferramentas que posso usar serve.",
    ),
    "missing": (
        "I cannot answer this yet: {tool} needs {names}, which your question does not give.",
        "Ainda não consigo responder: {tool} precisa de {names}, que a pergunta não informa.",
    ),
    "hello": (
        "Hello. I answer from tools and documents alone. I can use: {names}.",
        "Olá. Respondo apenas a partir de ferramentas e documentos. Posso usar: {names}.",
    ),
}


def say(phrase: str, *, portuguese: bool, **values: str) -> str:
    """A phrase in the asker's language."""
    return _PHRASES[phrase][portuguese].format(**values)
