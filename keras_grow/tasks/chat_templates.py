"""The templates of the families' instruct models, as data.

Each makes the text that the template published with the models makes, for
turns of system, user and assistant; tools and images are left out. Gemma has
no system turn: its authors put that text before the first user turn's, and
so do Mistral's.
"""

_GEMMA = """
{{- bos_token }}
{%- set lead = '' %}
{%- set turns = messages %}
{%- if messages[0].role == 'system' %}
  {%- set lead = messages[0].content + '\n\n' %}
  {%- set turns = messages[1:] %}
{%- endif %}
{%- for turn in turns %}
  {%- if (turn.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('turns of user and assistant must alternate, the '
        'user\\'s first') }}
  {%- endif %}
  {%- if turn.role == 'assistant' %}
    {{- '<start_of_turn>model\n' }}
    {%- generation %}
      {{- turn.content | trim + '<end_of_turn>' }}
    {%- endgeneration %}
    {{- '\n' }}
  {%- else %}
    {{- '<start_of_turn>' + turn.role + '\n' + (lead if loop.first else '') }}
    {{- turn.content | trim + '<end_of_turn>\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<start_of_turn>model\n' }}
{%- endif %}
"""

_LLAMA3_TURNS = """
{%- for turn in turns %}
  {{- '<|start_header_id|>' + turn.role + '<|end_header_id|>\n\n' }}
  {%- if turn.role == 'assistant' %}
    {%- generation %}
      {{- turn.content | trim + '<|eot_id|>' }}
    {%- endgeneration %}
  {%- else %}
    {{- turn.content | trim + '<|eot_id|>' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

_LLAMA3 = "{{- bos_token }}{%- set turns = messages %}" + _LLAMA3_TURNS

# Llama 3.1 uses this fixed date. Llama 3.2 uses the current day, with which the
# same file would give different training rows tomorrow.
_LLAMA31 = (
    """
{{- bos_token + '<|start_header_id|>system<|end_header_id|>\n\n' }}
{{- 'Cutting Knowledge Date: December 2023\nToday Date: ' }}
{{- date_string | default('26 Jul 2024') + '\n\n' }}
{%- set turns = messages %}
{%- if messages[0].role == 'system' %}
  {{- messages[0].content | trim }}
  {%- set turns = messages[1:] %}
{%- endif %}
{{- '<|eot_id|>' }}
"""
    + _LLAMA3_TURNS
)

_CHATML_TURNS = """
{%- for turn in turns %}
  {{- '<|im_start|>' + turn.role + '\n' }}
  {%- if turn.role == 'assistant' %}
    {%- generation %}
      {{- turn.content + '<|im_end|>' }}
    {%- endgeneration %}
    {{- '\n' }}
  {%- else %}
    {{- turn.content + '<|im_end|>\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|im_start|>assistant\n' }}
{%- endif %}
"""


def _chatml(system: str = "") -> str:
    """ChatML, with the system text of a chat that has none."""
    if not system:
        return "{%- set turns = messages %}" + _CHATML_TURNS
    return (
        "{%- set turns = messages %}"
        "{%- if messages[0].role != 'system' %}"
        "{%- set turns = [{'role': 'system', 'content': '" + system + "'}] "
        "+ messages %}{%- endif %}" + _CHATML_TURNS
    )


# Thoughts are kept in answers to the last question only.
_QWEN3 = """
{%- set ns = namespace(last=messages | length - 1, found=false) %}
{%- for turn in messages | reverse %}
  {%- if turn.role == 'user' and not ns.found %}
    {%- set ns.last = messages | length - loop.index %}
    {%- set ns.found = true %}
  {%- endif %}
{%- endfor %}
{%- for turn in messages %}
  {{- '<|im_start|>' + turn.role + '\n' }}
  {%- if turn.role != 'assistant' %}
    {{- turn.content + '<|im_end|>\n' }}
  {%- else %}
    {%- set thought = '' %}
    {%- set said = turn.content %}
    {%- if '</think>' in said %}
      {%- set thought = said.split('</think>')[0].rstrip('\n') %}
      {%- set thought = thought.split('<think>')[-1].strip('\n') %}
      {%- set said = said.split('</think>')[-1].lstrip('\n') %}
    {%- endif %}
    {%- generation %}
      {%- if loop.index0 > ns.last and (loop.last or thought) %}
        {{- '<think>\n' + thought + '\n</think>\n\n' + said.lstrip('\n') }}
      {%- else %}
        {{- said }}
      {%- endif %}
      {{- '<|im_end|>' }}
    {%- endgeneration %}
    {{- '\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|im_start|>assistant\n' }}
  {%- if enable_thinking is defined and enable_thinking is false %}
    {{- '<think>\n\n</think>\n\n' }}
  {%- endif %}
{%- endif %}
"""

_SMOLLM3_THINKING = (
    "Your role as an assistant involves thoroughly exploring questions "
    "through a systematic thinking process before providing the final "
    "precise and accurate solutions. This requires engaging in a "
    "comprehensive cycle of analysis, summarizing, exploration, "
    "reassessment, reflection, backtracking, and iteration to develop well-"
    "considered thinking process. Please structure your response into two "
    "main sections: Thought and Solution using the specified format: "
    "<think> Thought section </think> Solution section. In the Thought "
    "section, detail your reasoning process in steps. Each step should "
    "include detailed considerations such as analysing questions, "
    "summarizing relevant findings, brainstorming new ideas, verifying the "
    "accuracy of the current steps, refining any errors, and revisiting "
    "previous steps. In the Solution section, based on various attempts, "
    "explorations, and reflections from the Thought section, systematically"
    " present the final solution that you deem correct. The Solution "
    "section should be logical, accurate, and concise and detail necessary "
    "steps needed to reach the conclusion."
)

# The system turn says how to answer, and has no end marker.
_SMOLLM3 = (
    """
{%- set ns = namespace(mode='/think', own='') %}
{%- if enable_thinking is defined and not enable_thinking %}
  {%- set ns.mode = '/no_think' %}
{%- endif %}
{%- if messages[0].role == 'system' %}
  {%- set given = messages[0].content %}
  {%- if '/no_think' in given %}
    {%- set ns.mode = '/no_think' %}
  {%- elif '/think' in given %}
    {%- set ns.mode = '/think' %}
  {%- endif %}
  {%- set ns.own = given.replace('/no_think', '').replace('/think', '') %}
  {%- set ns.own = ns.own.rstrip() %}
{%- endif %}
{{- '<|im_start|>system\n' }}
{%- if '/system_override' in ns.own %}
  {{- ns.own.replace('/system_override', '').rstrip() + '<|im_end|>\n' }}
{%- else %}
  {{- '## Metadata\n\nKnowledge Cutoff Date: June 2025\nToday Date: ' }}
  {{- strftime_now('%d %B %Y') + '\nReasoning Mode: ' + ns.mode + '\n\n' }}
  {{- '## Custom Instructions\n\n' }}
  {%- if ns.own %}
    {{- ns.own }}
  {%- else %}
    {{- 'You are a helpful AI assistant named SmolLM, trained by Hugging ' }}
    {{- 'Face.' }}
    {%- if ns.mode == '/think' %}
      {{- ' """
    + _SMOLLM3_THINKING
    + """' }}
    {%- endif %}
  {%- endif %}
  {{- '\n\n' }}
{%- endif %}
{%- set lead = '<think>\n\n</think>\n' if ns.mode == '/no_think' else '' %}
{%- for turn in messages %}
  {%- if turn.role == 'assistant' %}
    {{- '<|im_start|>assistant\n' + lead }}
    {%- generation %}
      {{- turn.content.lstrip('\n') + '<|im_end|>' }}
    {%- endgeneration %}
    {{- '\n' }}
  {%- elif turn.role == 'user' %}
    {{- '<|im_start|>user\n' + turn.content + '<|im_end|>\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
  {{- '<|im_start|>assistant\n' + lead }}
{%- endif %}
"""
)

_MISTRAL = """
{{- bos_token }}
{%- set lead = '' %}
{%- set turns = messages %}
{%- if messages[0].role == 'system' %}
  {%- set lead = messages[0].content + '\n\n' %}
  {%- set turns = messages[1:] %}
{%- endif %}
{%- for turn in turns %}
  {%- if (turn.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('turns of user and assistant must alternate, the '
        'user\\'s first, but for a system turn before them') }}
  {%- endif %}
  {%- if turn.role == 'user' %}
    {{- ' [INST] ' + (lead if loop.first else '') }}
    {{- turn.content + ' [/INST]' }}
  {%- else %}
    {%- generation %}
      {{- ' ' + turn.content + eos_token }}
    {%- endgeneration %}
  {%- endif %}
{%- endfor %}
"""

_QWEN_SYSTEM = (
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
)
_SMOLLM2_SYSTEM = (
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
)

# Source, start token, end token.
TEMPLATES = {
    "gemma": (_GEMMA, "<bos>", "<eos>"),
    "llama3": (_LLAMA3, "<|begin_of_text|>", "<|eot_id|>"),
    "llama3.1": (_LLAMA31, "<|begin_of_text|>", "<|eot_id|>"),
    "chatml": (_chatml(), "", "<|im_end|>"),
    "qwen2.5": (_chatml(_QWEN_SYSTEM), "", "<|im_end|>"),
    "qwen3": (_QWEN3, "", "<|im_end|>"),
    "smollm2": (_chatml(_SMOLLM2_SYSTEM), "", "<|im_end|>"),
    "smollm3": (_SMOLLM3, "", "<|im_end|>"),
    "mistral": (_MISTRAL, "<s>", "</s>"),
}
