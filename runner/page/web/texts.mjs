// The page's words in English and Chinese.

const TEXTS = {
  intro: [
    "Every layer of your own network, computed in this page. Draw, drop an image or choose an example; point at a value to see what made it.",
    "你自己的网络，每一层都在本页中计算。请画图、拖入图像或选择样本；把鼠标指向任一数值，即可看到它是怎样算出来的。",
  ],
  introText: [
    "Every layer of your own network, computed in this page. Type a text or choose an example; point at a value to see what made it.",
    "你自己的网络，每一层都在本页中计算。请输入文字或选择样本；把鼠标指向任一数值，即可看到它是怎样算出来的。",
  ],
  introSignal: [
    "Every layer of your own network, computed in this page. Choose an example; point at a value to see what made it.",
    "你自己的网络，每一层都在本页中计算。请选择样本；把鼠标指向任一数值，即可看到它是怎样算出来的。",
  ],
  recorded: [
    "This network is too large to run in a page ({0}). The maps of these images were recorded when the page was made; large maps are shown reduced, and of many channels the first ones.",
    "这个网络太大，无法在网页中运行（{0}）。这里显示的是生成网页时为这些图像记录下来的特征图；较大的图缩小显示，通道很多时只显示前面的通道。",
  ],
  multiplyAdds: ["{0} million multiply-adds", "{0} 百万次乘加"],
  megabytes: ["{0} MB of weights", "权重 {0} MB"],
  unknownLayers: ["layers: {0}", "层：{0}"],
  bfloat16: ["Computed here in float32; the run computed in bfloat16.", "本页用 float32 计算；训练时用的是 bfloat16。"],
  crops: [
    "The run answers with the mean over {0} windows of a larger image; this page computes the whole image alone, and may answer otherwise.",
    "运行时的答案是较大图像上 {0} 个窗口的平均；本页只计算整幅图像，答案可能不同。",
  ],
  cropsRecorded: [
    "The answers are the run's, the mean over {0} windows of a larger image; the maps are of the whole image.",
    "答案与运行时相同，是较大图像上 {0} 个窗口的平均；特征图则来自整幅图像。",
  ],
  input: ["Input", "输入"],
  clear: ["Clear", "清除"],
  centre: ["centre the drawing", "绘制内容居中"],
  brush: ["Brush", "画笔"],
  file: ["Image file…", "图像文件…"],
  examples: ["Examples", "样本"],
  right: ["right", "正确"],
  wrong: ["wrong: {0}", "错误：{0}"],
  answer: ["Answer", "预测结果"],
  truth: ["true class: {0}", "真实类别：{0}"],
  scale: ["Colour scale", "色阶"],
  network: ["Network", "网络"],
  unit: ["Value", "数值"],
  attention: ["Attention", "关注区域"],
  learning: ["One step", "学习一步"],
  bench: ["Window bench", "窗口实验台"],
  hint: [
    "Point at a value of any layer, or move there with Tab and the arrow keys. A click, a tap or Enter holds it; the same again, or Esc, lets go.",
    "把鼠标指向任一层的数值，或用 Tab 键和方向键移动。单击、轻触或按 Enter 键固定，再做一次或按 Esc 键释放。",
  ],
  held: ["held; Esc or a second click lets go", "已固定，按 Esc 或再次单击释放"],
  slide: ["Slide the window", "滑动窗口"],
  stop: ["Stop", "停止"],
  at: ["row {0}, column {1}, channel {2}", "第 {0} 行，第 {1} 列，通道 {2}"],
  atFlat: ["unit {0}", "单元 {0}"],
  atSignal: ["position {0}, channel {1}", "位置 {0}，通道 {1}"],
  window: ["window", "窗口"],
  filter: ["filter", "滤波器"],
  product: ["product", "乘积"],
  channel: ["channel {0}", "通道 {0}"],
  others: ["{0} more channels", "其余 {0} 个通道"],
  otherInputs: ["{0} other inputs", "其余 {0} 个输入"],
  bias: ["bias", "偏置"],
  sum: ["sum", "总和"],
  before: ["before", "之前"],
  after: ["after", "之后"],
  winner: ["The largest value in the window wins.", "窗口中最大的值胜出。"],
  mean: ["mean of {0} values", "{0} 个值的平均"],
  total: ["sum of {0} values", "{0} 个值的和"],
  sees: ["It sees {0} of the input ({1}).", "它看到输入的 {0} 区域（{1}）。"],
  whole: ["all of it", "全部"],
  rows: ["rows {0}–{1}, columns {2}–{3}", "第 {0}–{1} 行，第 {2}–{3} 列"],
  seesWords: ["It sees: {0}", "它看到：{0}"],
  seesPositions: ["It sees positions {0}–{1} of the input.", "它看到输入的第 {0}–{1} 个位置。"],
  from: ["from {0}", "来自 {0}"],
  strongest: ["The strongest weight × activation", "最强的 权重 × 激活"],
  contributions: ["What each input channel adds to this filter's map", "每个输入通道对该滤波器特征图的贡献"],
  softmax: ["Softmax: e^z divided by the sum of e^z over all classes", "Softmax：e^z 除以所有类别 e^z 之和"],
  l2: [
    "Outputs were fitted to 0 and 1: the probabilities are the nearest distribution.",
    "输出以 0 和 1 为目标拟合：概率是与输出最接近的分布。",
  ],
  camTitle: ["Grad-CAM", "Grad-CAM"],
  camText: [
    "Where {0} speaks for the class: its maps, each weighed by its mean gradient, negative sums left out.",
    "{0} 的哪些位置支持该类别：各特征图按平均梯度加权求和，舍去负值。",
  ],
  occlusionTitle: ["Occlusion", "遮挡"],
  occlusionText: [
    "How much the probability falls when a grey square hides this place ({0}×{0}). Blue: this place is needed.",
    "用灰色方块（{0}×{0}）遮住该位置时概率下降多少。蓝色：这个位置很重要。",
  ],
  ofClass: ["Class", "类别"],
  ofLayer: ["Layer", "层"],
  target: ["Target", "目标"],
  rate: ["Learning rate", "学习率"],
  step: ["Take the step", "执行一步"],
  reset: ["As trained", "恢复训练结果"],
  stepText: [
    "One step of gradient descent on this input alone: weight − rate × gradient. Dropout is off, and batch normalisation uses its running statistics.",
    "只用这一个输入做一步梯度下降：权重 − 学习率 × 梯度。不使用 dropout，批归一化使用其滑动统计量。",
  ],
  taken: ["steps taken here: {0}", "已在此执行 {0} 步"],
  loss: ["Loss", "损失"],
  probability: ["Probability of the target", "目标类别的概率"],
  layer: ["layer", "层"],
  gradientOut: ["∂loss/∂output", "∂损失/∂输出"],
  largestWeight: ["the weight that moves most", "变化最大的权重"],
  output: ["output", "输出"],
  benchText: ["A window on {0}×{0} values. Impossible values turn red.", "{0}×{0} 输入上的窗口。不可能的值会变红。"],
  size: ["input", "输入"],
  positionsText: [
    "{0} positions along each axis: ⌊({1} + {2} + {3} − {4}) / {5}⌋ + 1",
    "每个轴上 {0} 个位置：⌊({1} + {2} + {3} − {4}) / {5}⌋ + 1",
  ],
  time: ["Training", "训练过程"],
  add: ["sum of {0} paths", "{0} 条支路相加"],
  multiply: ["product of {0} paths", "{0} 条支路相乘"],
  concat: ["{0} paths side by side", "{0} 条支路并排拼接"],
  untrained: ["before training", "训练之前"],
  epoch: ["after epoch {0}", "第 {0} 轮之后"],
  accuracy: ["accuracy {0}\u00a0%", "准确率 {0}\u00a0%"],
  comma: [", ", "，"],
  play: ["Play the training", "播放训练过程"],
  maps: ["maps", "特征图"],
  filters: ["filters", "滤波器"],
  onlyFilters: [
    "The slider shows how the filters of the first convolution were learnt.",
    "滑块显示第一个卷积层的滤波器是怎样学到的。",
  ],
  kept: ["as trained", "训练结果"],
  text: ["Text", "文字"],
  typeHere: ["Type a text", "在此输入文字"],
  unknownWords: ["not in the vocabulary: {0}", "不在词表中：{0}"],
  language: ["中文", "English"],
  dropped: ["{0}: the browser cannot read this image", "{0}：浏览器无法读取该图像"],
  cost: ["{0} ms for all layers", "所有层共 {0} 毫秒"],
};

let language = 0;

export function setLanguage(name) {
  language = name === "zh" ? 1 : 0;
  document.documentElement.lang = language ? "zh-CN" : "en";
}

export const languageName = () => (language ? "zh" : "en");

/** The text of a key in the present language, with {0}, {1} … replaced. */
export const say = (key, ...values) =>
  TEXTS[key][language].replace(/\{(\d)\}/g, (_, number) => String(values[Number(number)]));

export const everyText = () => TEXTS;
